-- Query 0. As the public SQL.
select auction,bidder,price,date_time,extra
from bid
