-- Query 5. As the public SQL: windows of 10 s every 2 s, all auctions with the most bids.
with c as (select auction, count(*) num, we
from (select auction, unnest([date_time - date_time%2000 + 2000*k for k in range(1,6)]) we
from bid)
group by auction,we)
 select auction,num
from c
where num = (select max(num)
from c d
where d.we=c.we)
