-- Query 22. As the public SQL.
select auction,bidder,price,channel,split_part(url,'/',4) dir1,split_part(url,'/',5) dir2,split_part(url,'/',6) dir3
from bid
