"""A service of somebody else's: business row and event in one transaction, some of which roll back."""
import json
import sys

import psycopg

committed, rolled_back = {}, []
with psycopg.connect(sys.argv[1]) as db:
    db.execute("create table orders (number numeric primary key)")
    db.commit()
    for n in range(100):
        number = 90071992547409931234567890 + n
        payload = '{"number": %d, "price": %d.10, "note": "café \\u2603 \\ud83d\\ude00 <%d>"}' % (number, n, n)
        db.execute("insert into orders values (%s)", [number])
        row = db.execute(
            "insert into outbox.events (type, key, payload) values ('order.created', %s, %s) returning id",
            [f"order-{n}", payload],
        ).fetchone()
        if n % 5 in (1, 3):
            db.rollback()
            rolled_back.append(str(row[0]))
        else:
            db.commit()
            committed[str(row[0])] = db.execute(
                "select payload::text from outbox.events where id = %s", [row[0]]
            ).fetchone()[0]
            db.commit()

print(json.dumps({"committed": committed, "rolledBack": rolled_back}))
