using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Berth.Server.Store.Sqlite;

namespace Berth.Cli.Machines;

/// <summary>
/// What <c>berth doctor</c> looks at, gathered without changing anything. Null where it could not be found out.
/// </summary>
/// <param name="MissingLibraries">Of <see cref="RequiredLibraries"/>, by file name.</param>
/// <param name="CgroupControllers">Controllers in use: of version 2, or the mounted hierarchies of version 1.</param>
/// <param name="FreeBytes">Free in the data folder's file system.</param>
/// <param name="PortIsFree">Whether the default port can be bound.</param>
internal sealed record MachineFacts(
    bool IsLinux,
    bool IsRoot,
    Version? Kernel,
    string? RuncVersion,
    IReadOnlyList<string> MissingLibraries,
    int CgroupVersion,
    IReadOnlyList<string> CgroupControllers,
    long UserNamespaces,
    bool HasOverlay,
    bool HasSeccomp,
    string DataFolder,
    long? FreeBytes,
    int Port,
    bool PortIsFree,
    bool ServerAnswers)
{
    /// <summary>Libraries of the system that are loaded at run time, with the Debian packages that hold them.</summary>
    public static readonly IReadOnlyDictionary<string, string> RequiredLibraries = new Dictionary<string, string>
    {
        ["libsqlite3.so.0"] = "libsqlite3-0",
        ["libseccomp.so.2"] = "libseccomp2",
        ["libzstd.so.1"] = "libzstd1",
    };

    /// <summary>What was found in the data folder's store; null where there is none that can be looked at.</summary>
    public StoreInspection? Store { get; init; }

    public bool StoreIsInUse { get; init; }

    private const string CgroupRoot = "/sys/fs/cgroup";

    public static async Task<MachineFacts> GatherAsync(string dataFolder, int port, CancellationToken cancellationToken)
    {
        bool isVersion2 = File.Exists($"{CgroupRoot}/cgroup.controllers");
        return new MachineFacts(
            OperatingSystem.IsLinux(), Environment.IsPrivilegedProcess, Environment.OSVersion.Version,
            await RuncVersionAsync(cancellationToken),
            [.. RequiredLibraries.Keys.Where(l => !CanLoad(l))],
            isVersion2 ? 2 : 1,
            isVersion2 ? Read($"{CgroupRoot}/cgroup.controllers").Split(' ') : MountedControllers(),
            long.TryParse(Read("/proc/sys/user/max_user_namespaces"), out long namespaces) ? namespaces : 0,
            Read("/proc/filesystems").Contains("\toverlay", StringComparison.Ordinal),
            Read("/proc/self/status").Contains("\nSeccomp:", StringComparison.Ordinal),
            dataFolder, FreeBytesOf(dataFolder), port, CanBind(port), await AnswersAsync(port, cancellationToken))
        {
            Store = StoreInspection.OfFolder(dataFolder, out bool inUse, cancellationToken),
            StoreIsInUse = inUse,
        };
    }

    private static string[] MountedControllers() => Directory.Exists(CgroupRoot)
        ? [
            .. Directory.EnumerateDirectories(CgroupRoot).Select(Path.GetFileName).SelectMany(
                n => n!.Split(',')).Distinct()]
        : [];

    private static bool CanLoad(string library)
    {
        if (!NativeLibrary.TryLoad(library, out nint handle))
        {
            return false;
        }

        NativeLibrary.Free(handle);
        return true;
    }

    /// <summary>The second line of "runc --version" is a commit; the first is "runc version 1.1.5+ds1".</summary>
    private static async Task<string?> RuncVersionAsync(CancellationToken cancellationToken)
    {
        try
        {
            ProcessStartInfo start = new("runc") { RedirectStandardOutput = true, UseShellExecute = false };
            start.ArgumentList.Add("--version");
            using Process process = Process.Start(start)!;
            string text = await process.StandardOutput.ReadToEndAsync(cancellationToken);
            await process.WaitForExitAsync(cancellationToken);
            return text.Split('\n')[0].Split(' ').LastOrDefault(w => w.Length > 0 && char.IsAsciiDigit(w[0]));
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return null;
        }
    }

    private static long? FreeBytesOf(string folder)
    {
        for (string? at = Path.GetFullPath(folder); at is not null; at = Path.GetDirectoryName(at))
        {
            if (Directory.Exists(at))
            {
                return new DriveInfo(at).AvailableFreeSpace;
            }
        }

        return null;
    }

    private static bool CanBind(int port)
    {
        try
        {
            using Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            socket.Bind(new IPEndPoint(IPAddress.Loopback, port));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private static async Task<bool> AnswersAsync(int port, CancellationToken cancellationToken)
    {
        using HttpClient http = new(new SocketsHttpHandler { UseProxy = false });
        http.Timeout = TimeSpan.FromSeconds(2);
        try
        {
            using HttpResponseMessage response = await http.GetAsync(
                new Uri($"http://127.0.0.1:{port}/healthz"), cancellationToken);
            return response.IsSuccessStatusCode;
        }
        catch (Exception e) when (
            e is HttpRequestException or TaskCanceledException && !cancellationToken.IsCancellationRequested)
        {
            return false;
        }
    }

    private static string Read(string path)
    {
        try
        {
            return File.ReadAllText(path).Trim('\n');
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }
}
