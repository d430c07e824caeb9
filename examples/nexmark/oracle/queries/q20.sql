-- Query 20. As the public SQL.
select auction,bidder,price,channel,url,b.date_time bid_date_time,b.extra bid_extra,item_name,description,initial_bid,reserve,a.date_time auction_date_time,expires,seller,category,a.extra auction_extra
from bid b
join auction a on b.auction=a.id
where category=10
