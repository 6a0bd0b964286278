// Command dist builds the files of a release of vitrine itself: for each
// platform a static binary, a tar.gz and (for Linux) a deb, and one SHA256SUMS
// over all. The same source and Go version give the same bytes, on any machine:
// nothing in them knows a time, a user or a path.
//
//	go run ./scripts/dist -out dist -platforms linux/amd64,linux/arm64
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

func main() {
	out := flag.String("out", "dist", "directory to write to; files of an earlier run are replaced")
	platforms := flag.String("platforms", runtime.GOOS+"/"+runtime.GOARCH, "comma-separated list of GOOS/GOARCH")
	flag.Parse()
	if err := run(*out, strings.Split(*platforms, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "dist: error:", err)
		os.Exit(1)
	}
}

func run(out string, platforms []string) error {
	work, err := os.MkdirTemp("", "vitrine-dist-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	host := filepath.Join(work, "vitrine")
	if err := build(host, runtime.GOOS, runtime.GOARCH); err != nil {
		return err
	}
	version, err := versionOf(host)
	if err != nil {
		return err
	}
	extras, err := extraFiles(host, work)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	var made []string
	for _, p := range platforms {
		goos, goarch, ok := strings.Cut(p, "/")
		if !ok {
			return fmt.Errorf("platform %q: want GOOS/GOARCH, like linux/amd64", p)
		}
		names, err := pack(out, work, version, goos, goarch, extras)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		made = append(made, names...)
	}
	return writeSums(out, made)
}

// build compiles the binary without anything of this machine in it.
func build(path, goos, goarch string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-buildid= -s -w", "-o", path, "./cmd/vitrine")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch, "GOFLAGS=")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building for %s/%s: %w", goos, goarch, err)
	}
	return nil
}

// versionOf asks the binary for its version, a line like "vitrine 0.1.0 …".
func versionOf(host string) (string, error) {
	out, err := exec.Command(host, "version").Output()
	if err != nil {
		return "", fmt.Errorf("asking the binary for its version: %w", err)
	}
	fields := strings.Fields(string(out))
	if len(fields) < 2 || fields[0] != "vitrine" {
		return "", fmt.Errorf("asking the binary for its version: %q is not \"vitrine VERSION\"", out)
	}
	return strings.TrimPrefix(fields[1], "v"), nil
}

// extraFiles returns what goes into every archive beside the binary.
func extraFiles(host, work string) ([]file, error) {
	man := filepath.Join(work, "man")
	if err := os.Mkdir(man, 0o755); err != nil {
		return nil, err
	}
	if out, err := exec.Command(host, "man", man).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("writing man pages: %w: %s", err, out)
	}
	pages, err := filepath.Glob(filepath.Join(man, "*.1"))
	if err != nil || len(pages) == 0 {
		return nil, fmt.Errorf("writing man pages: %d were written", len(pages))
	}
	var files []file
	for _, page := range pages {
		files = append(files, file{"share/man/man1/" + filepath.Base(page), page, 0o644})
	}
	for shell, path := range map[string]string{
		"bash": "share/bash-completion/completions/vitrine",
		"zsh":  "share/zsh/site-functions/_vitrine",
		"fish": "share/fish/vendor_completions.d/vitrine.fish",
	} {
		script, err := exec.Command(host, "completion", shell).Output()
		if err != nil {
			return nil, fmt.Errorf("writing the completion for %s: %w", shell, err)
		}
		src := filepath.Join(work, "completion."+shell)
		if err := os.WriteFile(src, script, 0o644); err != nil {
			return nil, err
		}
		files = append(files, file{path, src, 0o644})
	}
	for _, doc := range []string{"LICENSE", "README.md", "CHANGELOG.md"} {
		files = append(files, file{"share/doc/vitrine/" + doc, doc, 0o644})
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return files, nil
}

func pack(out, work, version, goos, goarch string, extras []file) ([]string, error) {
	bin := filepath.Join(work, "vitrine-"+goos+"-"+goarch)
	if err := build(bin, goos, goarch); err != nil {
		return nil, err
	}
	name := "vitrine"
	if goos == "windows" {
		name = "vitrine.exe"
	}
	base := fmt.Sprintf("vitrine_%s_%s_%s", version, goos, goarch)
	files := append([]file{{"bin/" + name, bin, 0o755}}, extras...)
	if err := writeTarGz(filepath.Join(out, base+".tar.gz"), base, files); err != nil {
		return nil, err
	}
	made := []string{base + ".tar.gz"}
	if goos == "linux" {
		if err := writeDeb(filepath.Join(out, base+".deb"), version, goarch, files); err != nil {
			return nil, err
		}
		made = append(made, base+".deb")
	}
	return made, nil
}

func writeSums(out string, names []string) error {
	slices.Sort(names)
	var sums strings.Builder
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			return err
		}
		sum := sha256.Sum256(b)
		line := hex.EncodeToString(sum[:]) + "  " + name + "\n"
		sums.WriteString(line)
		fmt.Print(line)
	}
	return os.WriteFile(filepath.Join(out, "SHA256SUMS"), []byte(sums.String()), 0o644)
}
