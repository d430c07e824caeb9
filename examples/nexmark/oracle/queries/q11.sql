-- Query 11. A session ends after more than 10 s without a bid: windows that touch are one, as in Flink.
select bidder,
       count(*) bid_count,min(date_time) starttime,max(date_time)+10000 endtime
from (
  select *, sum(n) over (partition by bidder order by date_time rows unbounded preceding) s
from (
   select bidder,date_time, case when date_time - lag(date_time) over (partition by bidder order by date_time) <= 10000 then 0 else 1 end n
from bid))
group by bidder,s
