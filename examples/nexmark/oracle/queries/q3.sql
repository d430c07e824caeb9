-- Query 3. The generator writes states in lower case, so both are taken.
select p.name,p.city,p.state,a.id
from auction a
join person p on a.seller=p.id
where a.category=10 and upper(p.state) in ('OR','ID','CA')
