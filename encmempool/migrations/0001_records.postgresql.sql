CREATE TABLE records (
	kind VARCHAR(32) NOT NULL, 
	"key" BYTEA NOT NULL, 
	value BYTEA NOT NULL, 
	PRIMARY KEY (kind, "key")
);
CREATE TABLE meta (
	name VARCHAR(32) NOT NULL, 
	value INTEGER, 
	PRIMARY KEY (name)
);
