-- Query 12. The clock is injected: the time of a bid is when it is processed.
select bidder, count(*) as bid_count, date_time // 10000 * 10000 as starttime, date_time // 10000 * 10000 + 10000 as endtime
from bid
group by bidder, date_time // 10000
