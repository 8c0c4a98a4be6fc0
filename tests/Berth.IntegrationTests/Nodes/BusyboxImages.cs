using Berth.Core.Images;
using Berth.Oci.Images;
using Berth.Oci.Layers;

namespace Berth.IntegrationTests.Nodes;

/// <summary>
/// Images made of folders: a layer with a static busybox and a layer with accounts and a file to read. What an
/// <see cref="ILayerStore"/> would have unpacked, without the store.
/// </summary>
internal sealed class BusyboxImages : IImageSource, IDisposable
{
    private static readonly string[] Commands =
    [
        "cat", "chmod", "chown", "dd", "echo", "env", "false", "grep", "hostname", "id", "ip", "kill", "ln", "ls",
        "mkdir", "mknod", "mount", "nslookup", "ps", "pwd", "readlink", "rm", "setsid", "sh", "sleep", "stat", "stty",
        "tail", "test", "touch", "true", "umount", "unshare", "wc", "yes",
    ];

    private readonly string folder;
    private readonly Dictionary<Digest, (ImageConfig Config, string[] Layers)> images = [];
    private int open;

    public BusyboxImages(string folder)
    {
        this.folder = folder;
        string tools = Layer("tools");
        Directory.CreateDirectory(tools + "/bin");
        File.Copy("/bin/busybox", tools + "/bin/busybox");
        foreach (string command in Commands)
        {
            File.CreateSymbolicLink($"{tools}/bin/{command}", "busybox");
        }

        string files = Layer("files");
        Directory.CreateDirectory(files + "/etc");
        File.WriteAllText(files + "/etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\nalice:x:1234:1235::/home/alice:/bin/sh\n");
        File.WriteAllText(files + "/etc/group", "root:x:0:\nusers:x:1235:alice\n");
        File.WriteAllText(files + "/etc/greeting", "hello from the image\n");
        Plain = Add("plain", new ContainerDefaults(Env: ["PATH=/bin", "COLOUR=blue"], Cmd: ["cat"]), tools, files);
    }

    /// <summary>busybox's commands in /bin, an account <c>alice</c>, and <c>cat</c> as the command.</summary>
    public Digest Plain { get; }

    /// <summary>Handles that are open now.</summary>
    public int Open => Volatile.Read(ref open);

    public Digest Add(string name, ContainerDefaults defaults, params string[] layers)
    {
        Digest digest = Digest.Sha256(System.Text.Encoding.UTF8.GetBytes(name));
        images[digest] = (new ImageConfig("amd64", "linux", defaults, new RootFs("layers", [])), layers);
        return digest;
    }

    /// <summary>The plain image's layers with one more on top, which <paramref name="fill"/> fills.</summary>
    public Digest AddOnTop(
        string name, Action<string> fill, Func<ContainerDefaults, ContainerDefaults>? change = null)
    {
        string layer = Layer(name);
        fill(layer);
        (ImageConfig config, string[] layers) = images[Plain];
        return Add(name, change?.Invoke(config.Config!) ?? config.Config!, [.. layers, layer]);
    }

    /// <summary>The plain image under further layers, as many layers as <paramref name="count"/> in all. Each has its
    /// number in /number.</summary>
    public Digest AddDeep(string name, int count)
    {
        (ImageConfig config, string[] layers) = images[Plain];
        IEnumerable<string> further = Enumerable.Range(layers.Length, count - layers.Length).Select(number =>
        {
            string layer = Layer($"{name}-{number}");
            File.WriteAllText($"{layer}/number", $"{number}\n");
            File.WriteAllText($"{layer}/number-{number}", "");
            return layer;
        });
        return Add(name, config.Config!, [.. layers, .. further]);
    }

    public string PathOfLayer(string name) => $"{folder}/{name}";

    public Task<ImageHandle> OpenAsync(Digest manifest, CancellationToken cancellationToken)
    {
        if (!images.TryGetValue(manifest, out (ImageConfig Config, string[] Layers) image))
        {
            throw new Core.Errors.BerthException(Core.Errors.ErrorCode.ImageNotFound, $"There is no image {manifest}.");
        }

        Interlocked.Increment(ref open);
        return Task.FromResult(new ImageHandle(manifest, image.Config, image.Layers, new Hold(this)));
    }

    public void Dispose() => Directory.Delete(folder, recursive: true);

    private string Layer(string name)
    {
        string path = PathOfLayer(name);
        Directory.CreateDirectory(path);
        return path;
    }

    private sealed class Hold(BusyboxImages images) : IDisposable
    {
        private int disposed;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref disposed, 1) == 0)
            {
                Interlocked.Decrement(ref images.open);
            }
        }
    }
}
