-- Those of these queues that no live worker serves.
create function @schema.adjourn_unserved_v1(p_queues text[]) returns text[]
language plpgsql stable as $$
begin
    if exists (select from @schema.adjourn_workers w where not w.dead and w.expires_at > now() and w.queues is null) then
        return '{}';
    end if;
    return array(
        select unnest(p_queues)
        except
        select unnest(w.queues) from @schema.adjourn_workers w where not w.dead and w.expires_at > now()
    );
end $$;
