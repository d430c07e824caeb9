-- Query 8. As the public SQL.
select p.id,p.name,p.s*10000 starttime
from (select distinct id,name,date_time//10000 s
from person) p
join (select distinct seller,date_time//10000 s
from auction) a on p.id=a.seller and p.s=a.s
