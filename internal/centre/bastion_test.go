package centre

import (
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"vitrine.example/internal/bastion"
	foreign "vitrine.example/test/peer"
	"vitrine.example/tlog"
)

// A node that nobody can connect to cosigns the log of another through a real
// bastion, in two processes, before and after the bastion was away.
func TestWitnessBehindABastion(t *testing.T) {
	centre := newNode(t, InitOptions{Name: "Centre", URL: "https://centre.example.org"})
	vendor := newNode(t, InitOptions{Name: "Vendor"})
	s, err := bastionKey(centre)
	check(t, err)
	if again, err := bastionKey(centre); err != nil || !s.Public().(ed25519.PublicKey).Equal(again.Public()) {
		t.Fatalf("another key the second time, %v", err)
	}
	if i, err := os.Stat(filepath.Join(centre, bastionKeyFile)); err != nil || i.Mode().Perm() != 0o600 {
		t.Fatalf("the key's file: %v, %v", i, err)
	}
	hash := bastion.Hash(s.Public().(ed25519.PublicKey))
	b, err := foreign.StartLitebastion(t.Context(), t.TempDir(), hash)
	check(t, err)
	t.Cleanup(func() { b.Stop() })
	t.Setenv("SSL_CERT_FILE", b.CA)

	at := fmt.Sprintf("hosts = [\"%s=%s\"]\n", foreign.LitebastionHost, b.Addr)
	configure(t, centre, at+fmt.Sprintf("bastion = [\"%s:443\"]\n", foreign.LitebastionHost))
	cfg, err := LoadConfig(vendor)
	check(t, err)
	logs, err := logVerifiers(vendor, cfg)
	check(t, err)
	log := logs[0]
	c := startProcess(t, centre)
	h := connect(t, centre)
	_, err = h.Witness(within(t), WitnessCall{Do: "add", Log: WitnessLog{Origin: log.Name(), Keys: []string{log.String()}}})
	check(t, err)
	key, err := tlog.ParseVerifier(h.Info().Witness[0])
	check(t, err)

	configure(t, vendor, at)
	witnessed(t, vendor, fmt.Sprintf("witness w %s https://%s/%s/witness\nquorum w\n", key, foreign.LitebastionHost, hash))
	v := startProcess(t, vendor)
	for i := range 2 {
		publish(t, connect(t, vendor), fmt.Sprintf("1.%d", i), "text") // is acknowledged when it is cosigned
		_, _, body := get(t, v.addr+"/checkpoint")
		cp, err := tlog.ParseCheckpoint([]byte(body))
		check(t, err)
		if _, err := key.Verify(cp); err != nil {
			t.Errorf("release %d: the published checkpoint is not cosigned: %v", i, err)
		}
		b.Stop()
		check(t, b.Start(t.Context()))
	}
	check(t, v.end(t, syscall.SIGTERM))
	check(t, c.end(t, syscall.SIGTERM))
}

// configure appends to a node's configuration.
func configure(t testing.TB, dir, text string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, ConfigFile), os.O_APPEND|os.O_WRONLY, 0)
	check(t, err)
	_, err = f.WriteString("\n" + text)
	check(t, err)
	check(t, f.Close())
}

func TestRefusedBastions(t *testing.T) {
	for _, list := range []string{`["bastion.example"]`, `[":443"]`, `["b.example:"]`, `["b.example:443", "b.example:443"]`,
		"[" + strings.Repeat(`"b.example:1",`, 9) + "]"} {
		if _, err := parseConfig([]byte(least + "bastion = " + list + "\n")); err == nil || !strings.Contains(err.Error(), "line 3: bastion: ") {
			t.Errorf("%s: %v", list, err)
		}
	}
}
