-- Query 13. As the public SQL.
select auction,bidder,price,date_time,value
from bid
join side on auction%10000=key
