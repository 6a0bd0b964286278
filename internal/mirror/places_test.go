package mirror_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"vitrine.example/internal/mirror"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
)

// stall begins an upload and sends the first bytes of a body that it never ends.
// told gets the status line of the answer.
func stall(t testing.TB, url string, body []byte, told chan<- string) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := fmt.Fprintf(c, "POST /add-entries HTTP/1.1\r\nHost: mirror\r\nContent-Type: %s\r\nContent-Length: 1000000\r\n\r\n%s", octets, body); err != nil {
		t.Fatal(err)
	}
	go func() {
		if line, err := bufio.NewReader(c).ReadString('\n'); err == nil {
			select {
			case told <- line:
			default: // one is enough
			}
		}
	}()
}

// Uploads that stall give their places up to one that does not: before their head
// came, after it, and after a first package.
func TestStallingUploadsGiveWay(t *testing.T) {
	for _, c := range []struct {
		name  string
		body  func(*memLog) []byte
		still string // what the status line of those that gave way may say
	}{
		{"nothing", func(*memLog) []byte { return nil }, "429"},
		{"head", func(l *memLog) []byte { return l.body(0, 1000, nil, 0) }, "429"},
		{"package", func(l *memLog) []byte { return l.body(0, 1000, nil, 1) }, "202"},
	} {
		t.Run(c.name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				m, _ := open(t, db, t.TempDir(), mirror.Limits{Concurrent: 4, PerLog: 2, Package: time.Hour, Idle: 20 * time.Millisecond})
				l := newLog(t, "log.example").grow(1000, "entry")
				add(t, m, l)
				url := serve(t, m)
				pend(t, url, l, 0, 1000, nil)
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
				defer cancel()
				told := make(chan string, 1) // whoever is the first to give way
				err := fmt.Errorf("not pushed yet")
				for err != nil && ctx.Err() == nil { // they come again each time
					for range 4 {
						stall(t, url, c.body(l), told)
					}
					err = pusher(l, url, http.DefaultClient, t).Push(ctx)
				}
				if err != nil {
					t.Fatalf("an honest upload does not get through: %v", err)
				}
				sound(t, m, url, l)
				select {
				case line := <-told:
					if !strings.Contains(line, " "+c.still+" ") && !strings.Contains(line, " 429 ") {
						t.Errorf("one that stalled is told %q", line)
					}
				case <-ctx.Done():
					t.Error("none that stalled was told anything")
				}
			})
		})
	}
}
