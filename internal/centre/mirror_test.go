package centre

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"vitrine.example/internal/mirror"
)

// One node pushes its log to another that is served by another process; what
// comes back is on the other's public address, and survives its end.
func TestMirrorOfANode(t *testing.T) {
	vendor, centreDir := t.TempDir()+"/vendor", t.TempDir()+"/centre"
	err := Init(t.Context(), vendor, InitOptions{URL: "https://vendor.example"})
	check(t, err)
	err = Init(t.Context(), centreDir, InitOptions{URL: "https://centre.example", Listen: freeAddr(t)})
	check(t, err)
	p := startProcess(t, centreDir)
	v, err := Connect(t.Context(), vendor, nil)
	check(t, err)
	defer v.Close(t.Context()) //nolint:errcheck // a test
	c, err := Connect(t.Context(), centreDir, nil)
	check(t, err)
	defer c.Close(t.Context()) //nolint:errcheck // a test
	_, err = c.Mirror(t.Context(), MirrorAsk{Do: "show", Origin: "vendor.example"})
	if !errors.Is(err, mirror.ErrUnknown) {
		t.Fatalf("an unknown log: %v", err)
	}
	a, err := c.Mirror(t.Context(), MirrorAsk{Do: "add", Origin: "vendor.example", Keys: v.Info().Log})
	check(t, err)
	_, err = v.Submit(t.Context(), sign(t, v, "1.0").Bytes())
	check(t, err)
	push := MirrorAsk{Do: "push", URL: p.addr + "/mirror/", Keys: a.Keys}
	got, err := v.Mirror(t.Context(), push)
	check(t, err)
	if len(got.Progress) != 1 || got.Progress[0].Size == 0 || got.Progress[0].Lag != 0 {
		t.Fatalf("pushed: %+v", got.Progress)
	}
	resp, err := http.Get(p.addr + "/mirror/" + mirror.OriginHash("vendor.example") + "/checkpoint")
	check(t, err)
	b, err := io.ReadAll(resp.Body)
	check(t, errors.Join(err, resp.Body.Close()))
	if !strings.Contains(string(b), "\n— centre.example/mirror ") {
		t.Fatalf("checkpoint %d: %s", resp.StatusCode, b)
	}
	check(t, p.end(t, syscall.SIGTERM))
	a, err = c.Mirror(t.Context(), MirrorAsk{Do: "check", Origin: "vendor.example"})
	check(t, err)
	if a.Logs[0].Size != got.Progress[0].Size || a.Logs[0].Problem != "" {
		t.Fatalf("after the end: %+v", a.Logs)
	}
	if _, err := os.Stat(centreDir + "/mirrors/" + mirror.OriginHash("vendor.example")); err != nil {
		t.Error(err)
	}
}
