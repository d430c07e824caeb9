-- Query 14. As the public SQL.
select auction,bidder,0.908*price price, case when hour(make_timestamp(date_time*1000)) between 8 and 18 then 'dayTime' when hour(make_timestamp(date_time*1000))<=6 or hour(make_timestamp(date_time*1000))>=20 then 'nightTime' else 'otherTime' end bid_time_type,
   date_time,extra,length(extra)-length(replace(extra,'c','')) c_counts
from bid
where 0.908*price>1000000 and 0.908*price<50000000
