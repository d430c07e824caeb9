-- Query 10. dt and hm tell the partition: the folder that the row is in.
select auction,bidder,price,date_time,extra,strftime(make_timestamp(date_time*1000),'%Y-%m-%d') dt,strftime(make_timestamp(date_time*1000),'%H:%M') hm
from bid
