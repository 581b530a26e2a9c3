CREATE TABLE records (
	kind VARCHAR(32) NOT NULL, 
	"key" BLOB NOT NULL, 
	value BLOB NOT NULL, 
	PRIMARY KEY (kind, "key")
);
CREATE TABLE meta (
	name VARCHAR(32) NOT NULL, 
	value INTEGER, 
	PRIMARY KEY (name)
);
