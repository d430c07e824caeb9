-- Query 4. Told once an auction has closed; averages are whole numbers, rounded down.
select category id, (sum(price)//count(*))::BIGINT final
from winning
where rn=1
group by category
