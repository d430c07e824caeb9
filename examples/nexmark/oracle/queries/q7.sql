-- Query 7. All bids of the highest price of each window of 10 s.
select auction,bidder,price,date_time,extra
from (select *,max(price) over (partition by date_time//10000) highest
from bid)
where price=highest
