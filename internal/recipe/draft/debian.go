package draft

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"vitrine.example/digest"
	"vitrine.example/internal/recipe"
)

const debianHead = `How to build this again: https://vitrine.example/ (docs/spec/recipe.md explains every key).
The root file system is unpacked from Debian packages, as apt on the machine that
wrote this chose them; no scripts of packages were run.`

// merged are the links that Debian has at its root since bookworm.
var merged = []string{"bin", "lib", "lib32", "lib64", "libx32", "sbin"}

// debRoot adds packages of Debian with all that they depend on as the root file
// system. apt chooses and has verified the lists that it chooses from.
func (d *draft) debRoot(packages ...string) error {
	for _, name := range merged {
		d.file("/usr/"+name+"/", "", "")
		d.file("/"+name, "", "usr/"+name)
	}
	list, err := d.aptChooses(append([]string{"install"}, packages...)...)
	if err != nil {
		return err
	}
	for _, in := range list {
		d.input(in, "")
	}
	d.file("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nbuild:x:1000:1000:build:/tmp:/bin/sh\n", "")
	d.file("/etc/group", "root:x:0:\nbuild:x:1000:\n", "")
	d.file("/usr/bin/awk", "", "mawk")
	d.file("/usr/bin/cc", "", "gcc")
	d.file("/var/lib/dpkg/status", "", "")
	d.file("/tmp/", "", "")
	return nil
}

// aptChooses asks apt what it would install on an empty machine.
func (d *draft) aptChooses(args ...string) ([]recipe.Input, error) {
	status := filepath.Join(d.tmp, "status")
	if err := os.WriteFile(status, nil, 0o600); err != nil {
		return nil, err
	}
	base := []string{
		"--print-uris", "-y", "-qq", "--no-install-recommends", "-o", "Acquire::ForceHash=SHA256", "-o", "Debug::NoLocking=1",
		"-o", "Dir::State::status=" + status, "-o", "Dir::Cache::archives=" + filepath.Join(d.tmp, "none") + "/",
		"-o", "APT::Architecture=amd64", "-o", "APT::Architectures=amd64",
	}
	cmd := exec.CommandContext(d.ctx, "apt-get", append(base, args...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, errors.New("apt-get is missing: write this recipe on a Debian machine, or in a container of one")
	} else if err != nil {
		return nil, fmt.Errorf("apt-get %s: %w: %.300s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	var list []recipe.Input
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "'") {
			continue
		}
		in, err := aptLine(line)
		if err != nil {
			return nil, err
		}
		list = append(list, in)
	}
	if len(list) == 0 {
		return nil, errors.New("apt knows no packages: run apt-get update")
	}
	return list, nil
}

// aptLine reads a line of --print-uris: 'URL' FILE SIZE SHA256:DIGEST.
func aptLine(line string) (recipe.Input, error) {
	f := strings.Fields(line)
	if len(f) != 4 || !strings.HasPrefix(f[3], "SHA256:") {
		return recipe.Input{}, fmt.Errorf("apt-get prints %.200q, which has no SHA-256: run apt-get update", strings.TrimSpace(line))
	}
	sum, err := digest.Parse(strings.TrimPrefix(f[3], "SHA256:"))
	if err != nil {
		return recipe.Input{}, err
	}
	size, err := strconv.ParseInt(f[2], 10, 64)
	if err != nil {
		return recipe.Input{}, err
	}
	u, err := url.Parse(strings.Trim(f[0], "'"))
	if err != nil {
		return recipe.Input{}, err
	}
	i := strings.Index(u.Path, "/pool/")
	if i < 0 {
		return recipe.Input{}, fmt.Errorf("%s is not in the pool of a Debian mirror", u)
	}
	return recipe.Input{
		Name: filepath.Base(u.Path), From: []string{"debian:" + u.Path[i+1:]}, SHA256: sum, Size: size, At: "/", Unpack: recipe.Deb,
	}, nil
}

// debian writes the recipe of a Debian source package.
func (d *draft) debian() error {
	found, err := filepath.Glob(filepath.Join(d.Dir, "*.dsc"))
	if err != nil {
		return err
	}
	if len(found) != 1 {
		return fmt.Errorf("%d files .dsc in it, want one", len(found))
	}
	c, err := readDsc(found[0])
	if err != nil {
		return err
	}
	d.head = debianHead
	d.r.UID, d.r.GID = 0, 0
	d.r.Env = []string{"DEB_BUILD_OPTIONS=nocheck", "DEB_BUILD_PROFILES=nocheck", "HOME=/tmp", "LC_ALL=C.UTF-8", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	if err := d.debRoot(append([]string{"?essential", "build-essential"}, c.needs...)...); err != nil {
		return err
	}
	for _, f := range append([]dscFile{{name: filepath.Base(found[0])}}, c.files...) {
		if err := d.sourceFile(c, f); err != nil {
			return err
		}
	}
	d.step("", "/build", "/usr/bin/dpkg-source", "--no-check", "-x", filepath.Base(found[0]), "src")
	d.step("SOURCE_DATE_EPOCH is that of debian/changelog; what is installed is not checked, as it is unpacked alone", "/build/src",
		"/usr/bin/env", "-u", "SOURCE_DATE_EPOCH", "/usr/bin/dpkg-buildpackage", "-b", "-d", "-us", "-uc")
	version := c.version
	if _, after, ok := strings.Cut(version, ":"); ok {
		version = after
	}
	for _, p := range c.packages {
		file := fmt.Sprintf("%s_%s_%s.deb", p.name, version, p.arch)
		d.output("", "/build/"+file, file)
	}
	return nil
}

// sourceFile adds a file of the source package, from the directory or the mirror.
func (d *draft) sourceFile(c *dsc, f dscFile) error {
	path := filepath.Join(d.Dir, f.name)
	g, err := d.onDisk(path)
	if err != nil {
		return err
	}
	if !f.sum.IsZero() && f.sum != g.SHA256 {
		return fmt.Errorf("%s: its digest is %s, and the .dsc says %s", f.name, g.SHA256, f.sum)
	}
	d.input(d.pin(recipe.Input{Name: f.name, At: "/build/" + f.name}, g, "debian:"+c.pool()+f.name), "")
	return nil
}
