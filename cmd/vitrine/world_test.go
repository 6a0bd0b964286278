package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"vitrine.example/internal/fixture"
	"vitrine.example/key"
	"vitrine.example/proof"
	"vitrine.example/statement"
	"vitrine.example/tlog"
	"vitrine.example/verdict"
)

// world makes a file, a bundle and a policy without any node: a log with two
// witnesses whose clocks stand at noon on 1 May 2030.
//
//	app.tar.gz, app.tar.gz.vitrine   version 1.0 of pkg:generic/app, on channel stable
//	other.tar.gz, ….vitrine          version 3.1 of pkg:generic/other, by the same vendor
//	stranger.tar.gz, ….vitrine       by a vendor and in a log that nobody knows
//	lonely.vitrine                   of app.tar.gz, cosigned by one witness only
//	policy.toml                      asks for pkg:generic/app, both witnesses, one day
//	vendor.pem, log.vkey, witness-1.vkey, witness-2.vkey
func world(ts *testscript.TestScript, _ bool, _ []string) {
	put := func(name string, data []byte) { ts.Check(os.WriteFile(ts.MkAbs(name), data, 0o644)) }
	file := func(name string) fixture.File {
		f := fixture.File{Name: name + ".tar.gz", Data: []byte("the bytes of " + name + "\n")}
		put(f.Name, f.Data)
		return f
	}
	pack := func(name string, l proof.Logged) {
		b := proof.Bundle{Statements: []proof.Logged{l}}
		raw, err := b.Marshal()
		ts.Check(err)
		put(name, raw)
	}
	w := fixture.New("script", key.P256, "ams", "cpt")
	app := file("app")
	l := w.Logged("pkg:generic/app", "1.0", "stable", app)
	pack("app.tar.gz.vitrine", l)
	pack("lonely.vitrine", proof.Logged{Envelope: l.Envelope, Proof: w.Prove(l.Proof.Index, w.Witnesses[0])})
	pack("other.tar.gz.vitrine", w.Logged("pkg:generic/other", "3.1", "", file("other")))
	s := fixture.New("stranger", key.P256, "ams", "cpt")
	pack("stranger.tar.gz.vitrine", s.Logged("pkg:generic/app", "1.0", "stable", file("stranger")))

	p := verdict.Policy{
		Product: "pkg:generic/app", Channel: "stable", MaxAge: 24 * time.Hour,
		Signers: []verdict.Signer{{Name: "vendor", Key: w.Vendor.Public(), May: []string{statement.ReleaseType}}},
		Log: tlog.Policy{
			Logs:   []tlog.PolicyLog{{Key: w.Log.Verifier()}},
			Groups: []tlog.PolicyGroup{{Name: "both", K: 2, Members: []string{"ams", "cpt"}}},
			Quorum: "both",
		},
	}
	for i, x := range w.Witnesses {
		p.Log.Witnesses = append(p.Log.Witnesses, tlog.PolicyWitness{Name: x.Name, Key: x.Verifier()})
		put(fmt.Sprintf("witness-%d.vkey", i+1), []byte(x.Verifier().String()))
	}
	raw, err := p.Marshal()
	ts.Check(err)
	put("policy.toml", raw)
	put("vendor.pem", w.Vendor.Public().PEM())
	put("log.vkey", []byte(w.Log.Verifier().String()))
	ts.Setenv("LOG", w.Log.Verifier().String())
	ts.Setenv("WITNESS1", w.Witnesses[0].Verifier().String())
	ts.Setenv("WITNESS2", w.Witnesses[1].Verifier().String())
	ts.Setenv("NOON", "2030-05-01T12:00:00Z")
}

// base is a real node with one release, made once and copied for each script.
var base struct {
	sync.Once
	dir string
	err error
}

// node copies a real node that has published app.tar.gz as version 1.0 of
// pkg:generic/app, with its bundle and a policy made from it:
// node/, app.tar.gz, app.tar.gz.vitrine, vitrine-policy.toml.
func node(ts *testscript.TestScript, _ bool, _ []string) {
	base.Do(func() { base.dir, base.err = makeBase() })
	ts.Check(base.err)
	ts.Check(os.CopyFS(ts.MkAbs("."), os.DirFS(base.dir)))
	ts.Check(modes(ts.MkAbs("."), base.dir))
}

// makeBase makes the node in a directory below that of the test binary's
// commands, which is removed with them.
func makeBase() (string, error) {
	bin, err := lookVitrine()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(filepath.Dir(filepath.Dir(bin)), "base")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "app.tar.gz"), []byte("the bytes of app\n"), 0o644); err != nil {
		return "", err
	}
	for _, line := range []string{
		"init node --url https://vendor.example --name Vendor --listen 127.0.0.1:0",
		"release publish --product pkg:generic/app@1.0 --artifact app.tar.gz node",
		"policy init --node node --product pkg:generic/app -o vitrine-policy.toml",
		"witness add node --vkey log.example+814a2008+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea",
	} {
		if out, err := runIn(dir, bin, strings.Fields(line)...); err != nil {
			return "", fmt.Errorf("vitrine %s: %w\n%s", line, err, out)
		}
	}
	return dir, nil
}

// await FILE waits until a file is there and not empty.
func await(ts *testscript.TestScript, _ bool, args []string) {
	for range 600 {
		if st, err := os.Stat(ts.MkAbs(args[0])); err == nil && st.Size() > 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("%s did not appear", args[0])
}
