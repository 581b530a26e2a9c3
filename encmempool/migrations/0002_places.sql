-- Where a transaction's receipt and its commitment are: receipt-of and place, from transaction id to their key.

-- A SignedReceipt begins with the transaction id.
INSERT INTO records (kind, "key", value)
SELECT 'receipt-of', substr(value, 1, 32), "key"
FROM records
WHERE kind = 'receipt'
ORDER BY "key"
ON CONFLICT DO NOTHING;

-- A CommittedBatch is a SignedCommitment of 278 bytes, an offset of 4, and the transaction ids.
INSERT INTO records (kind, "key", value)
WITH RECURSIVE ids(number) AS (
    SELECT 0
    UNION ALL
    SELECT number + 1
    FROM ids
    WHERE number + 1 < (SELECT max(length(value) - 282) / 32 FROM records WHERE kind = 'commitment')
)
SELECT 'place', substr(value, 283 + 32 * number, 32), "key"
FROM records JOIN ids ON 282 + 32 * (number + 1) <= length(value)
WHERE kind = 'commitment'
ORDER BY "key"
ON CONFLICT DO NOTHING;
