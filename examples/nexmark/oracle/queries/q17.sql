-- Query 17. The last row of each day and auction.
select auction,strftime(make_timestamp(date_time*1000),'%Y-%m-%d') as day,
       count(*) total_bids,
       count(*) filter(where price<10000) rank1_bids,
       count(*) filter(where price>=10000 and price<1000000) rank2_bids,
       count(*) filter(where price>=1000000) rank3_bids,min(price) min_price,max(price) max_price,(sum(price)//count(*))::BIGINT avg_price,sum(price)::BIGINT sum_price
from bid
group by 1,2
