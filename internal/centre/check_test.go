package centre

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite"
)

// Checking a log neither makes a database nor moves one on that an older program
// may be using.
func TestCheckLogChangesNothing(t *testing.T) {
	dir := newNode(t, InitOptions{})
	check(t, connect(t, dir).Close(within(t)))
	path := filepath.Join(dir, databaseMember)
	db, err := sql.Open("sqlite", path)
	check(t, err)
	const newest = "(SELECT max(version_id) FROM vitrine_schema)"
	_, err = db.Exec("DELETE FROM vitrine_schema WHERE version_id = " + newest)
	check(t, err)
	var before, after int
	check(t, db.QueryRow("SELECT "+newest).Scan(&before))
	r, err := CheckLog(within(t), dir, nil)
	check(t, err)
	check(t, db.QueryRow("SELECT "+newest).Scan(&after))
	if after != before {
		t.Errorf("the schema went from %d to %d", before, after)
	}
	if len(r.Faults) != 1 || !strings.Contains(MendFaults(r.Faults), "next start") {
		t.Errorf("an older database: %q", r.Faults)
	}
	check(t, db.Close())
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	r, err = CheckLog(within(t), dir, nil)
	check(t, err)
	if len(r.Faults) != 1 || !strings.Contains(r.Faults[0], "there is none") {
		t.Errorf("without a database: %q", r.Faults)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("checking has made a database: %v", err)
	}
}
