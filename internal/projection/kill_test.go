package projection_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/projection"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/statement"
)

// filling tells a process of this test to fill tables; it is the database.
const filling = "VITRINE_TEST_FILL"

// long is a log of several batches.
func long() *memory {
	l := &memory{}
	for i := range 20_000 {
		l.leaves = append(l.leaves, statement.CommitmentLeaf(digest.Of(fmt.Append(nil, i))))
	}
	l.show(1 << 40)
	return l
}

func over(t testing.TB, db *store.DB, l projection.Log) *projection.Projection {
	t.Helper()
	c, err := content.Open(filepath.Join(t.TempDir(), "content"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := projection.New(t.Context(), projection.Options{DB: db, Content: c, Origin: own, Log: l})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func stepAll(t testing.TB, p *projection.Projection, each func()) {
	t.Helper()
	for {
		n, err := p.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
		each()
	}
}

// TestKilledWhileFilling: a process that is killed while it fills the tables is
// followed by one that ends with the same tables.
func TestKilledWhileFilling(t *testing.T) {
	if url := os.Getenv(filling); url != "" {
		p := over(t, storetest.Open(t, url), long())
		fmt.Println("begun")
		stepAll(t, p, func() { fmt.Println("a batch") })
		return
	}
	whole := over(t, storetest.Open(t, storetest.SQLite(t)), long())
	stepAll(t, whole, func() {})
	want := dump(t, whole)
	storetest.URLs(t, func(t *testing.T, url string) {
		for i := range 4 { // each begins where the one before was killed
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledWhileFilling$")
			cmd.Env = append(os.Environ(), filling+"="+url)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if line, err := bufio.NewReader(out).ReadString('\n'); line != "begun\n" {
				t.Fatalf("the process said %q, %v", line, err)
			}
			time.Sleep(time.Duration(7*i) * time.Millisecond)
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // it was killed
		}
		p := over(t, storetest.Open(t, url), long())
		stepAll(t, p, func() {})
		if dump(t, p) != want {
			t.Error("the tables differ from those of a process that was left alone")
		}
	})
}

// TestIndexesComeBack: a process that was killed while it filled the tables
// without indexes is followed by one that makes them.
func TestIndexesComeBack(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		count := func() (n int64) {
			t.Helper()
			q := `SELECT COUNT(*) FROM sqlite_master WHERE type = 'index' AND name LIKE 'projected_%'`
			if db.Engine() == "postgres" {
				q = `SELECT COUNT(*) FROM pg_indexes WHERE indexname LIKE 'projected_%' AND indexname NOT LIKE '%_key'
					AND indexname NOT LIKE '%_pkey'`
			}
			if err := db.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				return tx.QueryRowContext(ctx, q).Scan(&n)
			}); err != nil {
				t.Fatal(err)
			}
			return n
		}
		before := count()
		if err := db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			for _, name := range []string{"entry_envelope", "subject_sha256", "release_product", "artifact_sha256"} {
				if _, err := tx.ExecContext(ctx, "DROP INDEX projected_"+name); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if count() != before-4 {
			t.Fatalf("%d of %d indexes are left", count(), before)
		}
		stepAll(t, over(t, db, long()), func() {})
		if after := count(); after != before {
			t.Errorf("%d of %d indexes came back", after, before)
		}
	})
}
