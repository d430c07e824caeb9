-- Query 9. Ties: the earlier bid, then the lower number of the bidder.
select * exclude rn
from winning
where rn=1
