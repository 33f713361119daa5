BEGIN TRANSACTION;
CREATE TABLE migration (version INTEGER PRIMARY KEY, description TEXT NOT NULL, applied_at TEXT NOT NULL) STRICT;
INSERT INTO "migration" VALUES(1,'predictions, outcomes and totals','2025-11-01T10:00:00+00:00');
CREATE TABLE model (
                id INTEGER PRIMARY KEY,
                namespace TEXT NOT NULL,
                name TEXT NOT NULL,
                UNIQUE (namespace, name)
            ) STRICT
            ;
INSERT INTO "model" VALUES(1,'claims','claim-risk');
INSERT INTO "model" VALUES(2,'other','claim-risk');
CREATE TABLE outcome (
                id INTEGER PRIMARY KEY,
                model_id INTEGER NOT NULL REFERENCES model,
                claim_id TEXT,
                request_id TEXT,
                row INTEGER,
                outcome TEXT NOT NULL CHECK (outcome IN ('positive', 'negative')),
                observed_at_ms INTEGER NOT NULL,
                CHECK ((claim_id IS NULL) = (request_id IS NOT NULL AND row IS NOT NULL))
            ) STRICT
            ;
INSERT INTO "outcome" VALUES(1,1,'C1',NULL,NULL,'positive',1763632800000);
INSERT INTO "outcome" VALUES(2,1,'C1',NULL,NULL,'negative',1763632800000);
INSERT INTO "outcome" VALUES(3,1,'C2',NULL,NULL,'negative',1763632800000);
INSERT INTO "outcome" VALUES(4,1,'C3',NULL,NULL,'positive',1763632800000);
INSERT INTO "outcome" VALUES(5,1,NULL,'r10',1,'negative',1763632800000);
INSERT INTO "outcome" VALUES(6,1,'C99',NULL,NULL,'positive',1763632800000);
INSERT INTO "outcome" VALUES(7,1,NULL,'r77',0,'positive',1763632800000);
INSERT INTO "outcome" VALUES(8,2,'C1',NULL,NULL,'positive',1763632800000);
CREATE TABLE prediction (
                id INTEGER PRIMARY KEY,
                revision_id INTEGER NOT NULL REFERENCES revision,
                stratum_id INTEGER NOT NULL REFERENCES stratum,
                request_id TEXT NOT NULL,
                row INTEGER NOT NULL,
                claim_id TEXT,
                is_first_of_claim INTEGER NOT NULL,
                decision TEXT NOT NULL CHECK (decision IN ('refer', 'settle')),
                score REAL NOT NULL,
                served_at_ms INTEGER NOT NULL,
                outcome TEXT CHECK (outcome IN ('positive', 'negative')),
                corrected INTEGER NOT NULL DEFAULT 0,
                UNIQUE (request_id, row, revision_id)
            ) STRICT
            ;
INSERT INTO "prediction" VALUES(1,1,1,'r0',0,'C0',1,'settle',0.05,1761991200000,NULL,0);
INSERT INTO "prediction" VALUES(2,2,2,'r1',0,'C1',1,'refer',0.18,1761991260000,'positive',1);
INSERT INTO "prediction" VALUES(3,1,1,'r2',0,'C2',1,'refer',0.31,1761991320000,'negative',0);
INSERT INTO "prediction" VALUES(4,2,2,'r3',0,'C3',1,'settle',0.44,1761991380000,'positive',0);
INSERT INTO "prediction" VALUES(5,1,1,'r4',0,'C4',1,'refer',0.57,1761991440000,NULL,0);
INSERT INTO "prediction" VALUES(6,2,2,'r5',0,'C5',1,'refer',0.7,1761991500000,NULL,0);
INSERT INTO "prediction" VALUES(7,1,3,'r6',0,'C6',1,'settle',0.83,1761991560000,NULL,0);
INSERT INTO "prediction" VALUES(8,2,4,'r7',0,'C7',1,'refer',0.96,1761991620000,NULL,0);
INSERT INTO "prediction" VALUES(9,2,2,'r9',0,'C1',0,'refer',0.5,1761991200000,NULL,0);
INSERT INTO "prediction" VALUES(10,2,2,'r10',1,NULL,0,'settle',0.0,1761991200000,'negative',0);
INSERT INTO "prediction" VALUES(11,3,5,'r10',1,'C1',1,'settle',1.0,1761991200000,'positive',0);
CREATE TABLE revision (
                id INTEGER PRIMARY KEY,
                model_id INTEGER NOT NULL REFERENCES model,
                name TEXT NOT NULL,
                UNIQUE (model_id, name)
            ) STRICT
            ;
INSERT INTO "revision" VALUES(1,1,'b2');
INSERT INTO "revision" VALUES(2,1,'a1');
INSERT INTO "revision" VALUES(3,2,'a1');
CREATE TABLE stratum (
                id INTEGER PRIMARY KEY,
                revision_id INTEGER NOT NULL REFERENCES revision,
                attempt INTEGER NOT NULL,
                epoch INTEGER NOT NULL,
                refer INTEGER NOT NULL DEFAULT 0,
                settle INTEGER NOT NULL DEFAULT 0,
                tp INTEGER NOT NULL DEFAULT 0,
                fp INTEGER NOT NULL DEFAULT 0,
                tn INTEGER NOT NULL DEFAULT 0,
                fn INTEGER NOT NULL DEFAULT 0,
                corrections INTEGER NOT NULL DEFAULT 0,
                UNIQUE (revision_id, attempt, epoch)
            ) STRICT
            ;
INSERT INTO "stratum" VALUES(1,1,1,1,2,1,0,1,0,0,0);
INSERT INTO "stratum" VALUES(2,2,1,1,3,2,1,0,1,1,1);
INSERT INTO "stratum" VALUES(3,1,1,2,0,1,0,0,0,0,0);
INSERT INTO "stratum" VALUES(4,2,1,2,1,0,0,0,0,0,0);
INSERT INTO "stratum" VALUES(5,3,1,1,0,1,0,0,0,1,0);
CREATE UNIQUE INDEX prediction_first_of_claim ON prediction (claim_id, stratum_id)
                WHERE is_first_of_claim = 1
            ;
CREATE UNIQUE INDEX outcome_of_claim ON outcome (claim_id, model_id, outcome)
                WHERE claim_id IS NOT NULL
            ;
CREATE UNIQUE INDEX outcome_of_row ON outcome (request_id, row, model_id, outcome)
                WHERE request_id IS NOT NULL
            ;
COMMIT;
