using System.Text;

namespace Berth.Oci.Unix;

/// <summary>What a tree of files says of an entry beside its name and content. No link is followed.</summary>
/// <param name="Mode">Permissions with set-user-id, set-group-id and sticky.</param>
/// <param name="Identity">The same for two names of one file, while it is there.</param>
/// <param name="Links">How many names it has.</param>
/// <param name="Extended">Extended attributes by name; none of links, which have none of their own.</param>
public sealed record NodeAttributes(
    uint User, uint Group, UnixFileMode Mode, (ulong FileSystem, ulong Inode) Identity, uint Links,
    IReadOnlyDictionary<string, byte[]> Extended)
{
    private const int CurrentFolder = -100;
    private const int NoFollow = 0x100;
    private const int NonBlockingCloseOnExec = 0x80800;

    /// <summary>Throws IOException, FileNotFoundException and DirectoryNotFoundException among them.</summary>
    public static unsafe NodeAttributes Read(string path)
    {
        const uint BasicStats = 0x7ff;
        Libc.StatxBuffer raw;
        fixed (byte* name = Terminated(path))
        {
            if (Libc.StatX(CurrentFolder, name, NoFollow, BasicStats, &raw) != 0)
            {
                throw UnixError.From("statx", path);
            }
        }

        NodeStatus status = UnixFile.ToStatus(raw);
        return new NodeAttributes(
            status.User, status.Group, (UnixFileMode)(status.Mode & 0xfff), (status.FileSystem, status.Inode),
            status.Links, status.Kind is NodeKind.File or NodeKind.Folder ? ReadExtended(path) : None);
    }

    /// <summary>Gives an entry owner, permissions and attributes. Throws IOException.</summary>
    /// <param name="link">It is a symbolic link, which has an owner alone.</param>
    public unsafe void Apply(string path, bool link)
    {
        fixed (byte* name = Terminated(path))
        {
            if (Libc.FChownAt(CurrentFolder, name, User, Group, NoFollow) != 0)
            {
                throw UnixError.From("fchownat", path);
            }
        }

        if (link)
        {
            return;
        }

        // After the owner, whose change takes set-user-id away.
        File.SetUnixFileMode(path, Mode);
        if (Extended.Count > 0)
        {
            WithDescriptor(path, descriptor =>
            {
                foreach ((string name, byte[] value) in Extended)
                {
                    Errno error = UnixFile.TrySetXattr(descriptor, name, value);
                    if (error != Errno.None)
                    {
                        throw UnixError.From(error, "fsetxattr", path);
                    }
                }
            });
        }
    }

    /// <summary>Gives a file one more name. Throws IOException.</summary>
    public static unsafe void Link(string existing, string name)
    {
        fixed (byte* from = Terminated(existing))
        fixed (byte* to = Terminated(name))
        {
            if (Libc.LinkAt(CurrentFolder, from, CurrentFolder, to, 0) != 0)
            {
                throw UnixError.From("linkat", name);
            }
        }
    }

    private static IReadOnlyDictionary<string, byte[]> None { get; } = new Dictionary<string, byte[]>();

    private static Dictionary<string, byte[]> ReadExtended(string path)
    {
        Dictionary<string, byte[]> extended = [];
        WithDescriptor(path, descriptor =>
        {
            foreach (string name in UnixFile.ListXattrs(descriptor, path))
            {
                if (UnixFile.GetXattr(descriptor, name) is { } value)
                {
                    extended[name] = value;
                }
            }
        });
        return extended;
    }

    private static unsafe void WithDescriptor(string path, Action<int> act)
    {
        int descriptor;
        fixed (byte* name = Terminated(path))
        {
            descriptor = Libc.OpenAt(CurrentFolder, name, NonBlockingCloseOnExec, 0);
        }

        if (descriptor < 0)
        {
            throw UnixError.From("open", path);
        }

        try
        {
            act(descriptor);
        }
        finally
        {
            UnixFile.Close(descriptor, path);
        }
    }

    private static byte[] Terminated(string path) => Encoding.UTF8.GetBytes(path + '\0');
}
