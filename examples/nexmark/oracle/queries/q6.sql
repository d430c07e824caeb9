-- Query 6. The last ten auctions of a seller in the order in which they closed (ties by number), as the text of the
-- benchmark says; the public SQL is not supported by Flink.
select seller, (sum(price) over w // count(*) over w)::BIGINT avg_price
from winning
where rn=1
window w as (partition by seller order by expires,id rows between 9 preceding and current row)
