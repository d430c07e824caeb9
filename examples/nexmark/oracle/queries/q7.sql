-- Query 7. All bids of the highest price of each window of 10 s.
select auction,bidder,price,date_time,extra
from bid b
where price=(select max(price)
from bid c
where c.date_time//10000=b.date_time//10000)
