package ledger_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine.example/internal/ledger"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
)

// child, when set, makes this program an appender instead of a test.
const child = "VITRINE_LEDGER_CHILD"

func TestMain(m *testing.M) {
	if job := os.Getenv(child); job != "" {
		appendForEver(strings.Fields(job))
	}
	os.Exit(m.Run())
}

// appendForEver adds entries to the log in dir until it is killed, and writes
// each acknowledged one to standard output. Every third entry is one that
// another appender adds as well; every fifth is from an earlier round.
func appendForEver(job []string) {
	dir, url, round := job[0], job[1], job[2]
	ctx := context.Background()
	db, err := store.Open(ctx, url)
	if err != nil {
		fatal(err)
	}
	o := options(&testing.B{}, dir, db)
	o.BatchSize, o.BatchAge = 64, time.Millisecond
	if len(job) > 3 {
		o.Cosigner = newCosigner(&testing.B{})
	}
	l, err := ledger.Open(ctx, o)
	if err != nil {
		fatal(err)
	}
	fmt.Println("open")
	var wg sync.WaitGroup
	for a := range 24 {
		wg.Go(func() {
			for n := 0; ; n++ {
				leaf := fmt.Sprintf("round-%s-appender-%d-%d", round, a, n)
				switch {
				case n%5 == 4:
					leaf = fmt.Sprintf("round-0-appender-%d-%d", a, n-1)
				case n%3 == 2:
					leaf = fmt.Sprintf("round-%s-shared-%d", round, n)
				}
				e, err := l.Add(ctx, []byte(leaf))
				if err != nil {
					fatal(err)
				}
				// One write, so that lines stay whole.
				_, _ = os.Stdout.WriteString(leaf + " " + strconv.FormatInt(e.Index, 10) + "\n")
			}
		})
	}
	wg.Wait()
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

const rounds = 8

// Killed at any moment, many times over, the log loses nothing that it
// acknowledged, gives no leaf two indexes, and is clean.
func TestKill(t *testing.T) {
	t.Parallel()
	storetest.URLs(t, func(t *testing.T, url string) {
		dir := filepath.Join(t.TempDir(), "log")
		acknowledged := map[string]int64{}
		for round := range rounds {
			killed(t, dir, url, round, acknowledged)
		}
		if len(acknowledged) < rounds {
			t.Fatalf("only %d entries were acknowledged", len(acknowledged))
		}
		db := storetest.Open(t, url)
		l := open(t, options(t, dir, db))
		for leaf, index := range acknowledged {
			if got, err := l.Leaf(t.Context(), index); err != nil || string(got) != leaf {
				t.Errorf("entry %d is %q, %v; %q was acknowledged", index, got, err, leaf)
			}
		}
		closeLog(t, l)
		if r := check(t, dir, db); r.Reserved != 0 || r.Entries != r.Size {
			t.Errorf("report %+v", r)
		}
		if err := tesseraFinds(t, dir); err != nil {
			t.Error(err)
		}
	})
}

// killed runs an appender, kills it after a random time, and notes what it
// acknowledged.
func killed(t *testing.T, dir, url string, round int, acknowledged map[string]int64, mode ...string) {
	t.Helper()
	cmd := osexec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), child+"="+dir+" "+url+" "+strconv.Itoa(round)+" "+strings.Join(mode, " "))
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	if line, err := r.ReadString('\n'); err != nil || line != "open\n" {
		_ = cmd.Wait()
		t.Fatalf("round %d: %q, %v: %s", round, line, err, &errs)
	}
	time.AfterFunc(time.Duration(rand.IntN(400))*time.Millisecond, func() { _ = cmd.Process.Kill() })
	for {
		line, err := r.ReadString('\n')
		if errors.Is(err, io.EOF) {
			break // the last line may be cut off
		} else if err != nil {
			t.Fatal(err)
		}
		leaf, ix, _ := strings.Cut(strings.TrimSpace(line), " ")
		index, err := strconv.ParseInt(ix, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if before, ok := acknowledged[leaf]; ok && before != index {
			t.Errorf("%s is at %d and at %d", leaf, before, index)
		}
		acknowledged[leaf] = index
	}
	_ = cmd.Wait() // killed
	if errs.Len() > 0 {
		t.Errorf("round %d: %s", round, &errs)
	}
}
