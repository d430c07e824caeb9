-- Query 1. As the public SQL.
select auction,bidder,0.908*price price,date_time,extra
from bid
