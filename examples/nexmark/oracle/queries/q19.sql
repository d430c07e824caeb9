-- Query 19. Ties: the earlier bid, then the lower number of the bidder, then by the other columns.
select * exclude rn,rn rank_number
from (select *,row_number() over (partition by auction order by price desc,date_time,bidder,channel,url,extra) rn
from bid)
where rn<=10
