-- Query 18. Ties: the higher price, then by the other columns.
select * exclude rn
from (select *,row_number() over (partition by bidder,auction order by date_time desc,price desc,channel,url,extra) rn
from bid)
where rn=1
