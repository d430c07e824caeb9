-- Query 15. The last row of each day.
select strftime(make_timestamp(date_time*1000),'%Y-%m-%d') as day,
       count(*) total_bids,
       count(*) filter (where price<10000) rank1_bids,
       count(*) filter (where price>=10000 and price<1000000) rank2_bids,
       count(*) filter (where price>=1000000) rank3_bids,
       count(distinct bidder) total_bidders,
       count(distinct bidder) filter (where price<10000) rank1_bidders,
       count(distinct bidder) filter (where price>=10000 and price<1000000) rank2_bidders,
       count(distinct bidder) filter (where price>=1000000) rank3_bidders,
       count(distinct auction) total_auctions,
       count(distinct auction) filter (where price<10000) rank1_auctions,
       count(distinct auction) filter (where price>=10000 and price<1000000) rank2_auctions,
       count(distinct auction) filter (where price>=1000000) rank3_auctions
from bid
group by 1
