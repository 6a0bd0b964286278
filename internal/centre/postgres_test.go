package centre

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vitrine.example/internal/store/storetest"
)

// TestOnPostgres: the same node on the other engine, by one line of its
// configuration.
func TestOnPostgres(t *testing.T) {
	dir := newNode(t, InitOptions{})
	path := filepath.Join(dir, ConfigFile)
	b, err := os.ReadFile(path)
	check(t, err)
	url := storetest.Postgres(t)
	text := strings.Replace(string(b), `#database = "vitrine.db"`, "database = "+tomlString(url), 1)
	check(t, os.WriteFile(path, []byte(text), 0o600))

	addr, stop := serve(t, dir)
	h := connect(t, dir)
	p := publish(t, h, "1.0.0", "one")
	if code, _, body := get(t, addr+"/release/"+p.Envelope.Digest().String()); code != 200 || !strings.Contains(body, "app 1.0.0") {
		t.Errorf("release page: %d\n%s", code, body)
	}
	for _, f := range Doctor(within(t), dir) {
		if !f.OK || f.Check == "database" && !strings.Contains(f.Detail, "postgres") {
			t.Errorf("%+v", f)
		}
	}
	check(t, h.Close(within(t)))
	stop()
	r, err := CheckLog(within(t), dir, nil)
	if err != nil || len(r.Faults) > 0 || r.Size != 1 || r.Entries != 1 {
		t.Errorf("log check: %+v, %v", r, err)
	}
}
