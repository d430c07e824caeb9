-- Query 2. As the public SQL.
select auction,price
from bid
where auction%123=0
