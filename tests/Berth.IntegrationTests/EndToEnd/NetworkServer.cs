using System.Text.RegularExpressions;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>A server whose image <c>demo/net</c> has a shell that connects to anything, and programs that answer.
/// </summary>
internal static partial class NetworkServer
{
    /// <summary>Says what is at a port, in one line; nothing where nothing answers.</summary>
    public const string Get =
        "get() { busybox timeout 5 bash -c \"exec 3<>/dev/tcp/$1/$2 && printf 'GET /page HTTP/1.0\\r\\n\\r\\n' >&3 "
        + "&& busybox cat <&3\" 2>/dev/null | busybox tail -n 1; }; ";

    /// <summary>A web server whose only page is what it is called.</summary>
    public static string Serve(string page) => $"echo {page} > /page; exec busybox httpd -f -p 80 -h /";

    public static Task<ServerProcess> StartAsync(params string[] flags) => StartAsync(new ServerProcess(), flags);

    public static async Task<ServerProcess> StartAsync(ServerProcess server, params string[] flags)
    {
        try
        {
            await server.StartAsync(flags);
            string root = Path.Combine(server.Folder, "net");
            Directory.CreateDirectory(root + "/bin");
            File.Copy("/bin/busybox", root + "/bin/busybox");
            File.CreateSymbolicLink(root + "/bin/sh", "busybox");
            await CopyProgramAsync("/bin/bash", root);
            (await server.BerthAsync("image", "pack", "-q", "--cmd", "sh", "-e", "PATH=/bin", "demo/net", root))
                .Succeed();
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    private static async Task CopyProgramAsync(string program, string root)
    {
        File.Copy(program, root + program);
        string libraries = (await Tool.RunAsync("/usr/bin/ldd", [program], [])).Succeed();
        foreach (Match library in PathInText().Matches(libraries))
        {
            Directory.CreateDirectory(root + Path.GetDirectoryName(library.Value));
            File.Copy(library.Value, root + library.Value);
        }
    }

    [GeneratedRegex(@"/[^\s)]+\.so[^\s)]*", RegexOptions.NonBacktracking)]
    private static partial Regex PathInText();
}
