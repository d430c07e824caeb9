-- Query 10. The partition is in the columns dt and hm.
select auction,bidder,price,date_time,extra,strftime(make_timestamp(date_time*1000),'%Y-%m-%d') dt,strftime(make_timestamp(date_time*1000),'%H:%M') hm
from bid
