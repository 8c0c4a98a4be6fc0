using System.Net.Sockets;
using System.Text;
using Berth.Testing.Server;

namespace Berth.Tests.Server;

/// <summary>
/// A connection to the server on which a test writes its own bytes: what no client library would send.
/// </summary>
internal sealed class RawConnection : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly TcpClient client = new() { NoDelay = true };
    private readonly CancellationTokenSource limit = new(Patience);
    private NetworkStream? stream;

    private RawConnection(string token) => Authorization = $"Authorization: Bearer {token}\r\n";

    /// <summary>The administrator's header line.</summary>
    public string Authorization { get; }

    public static Task<RawConnection> OpenAsync(ServerRig rig) => OpenAsync(rig.Address, rig.AdminToken);

    public static async Task<RawConnection> OpenAsync(Uri address, string token)
    {
        RawConnection connection = new(token);
        await connection.client.ConnectAsync(address.Host, address.Port);
        connection.stream = connection.client.GetStream();
        return connection;
    }

    /// <summary>Ends as a killed program does: what the kernel still holds is sent, then the end; or, by a reset, at
    /// once.</summary>
    public void Kill(bool reset = false)
    {
        if (reset)
        {
            client.LingerState = new LingerOption(true, 0);
        }

        client.Close();
    }

    public Task WriteAsync(string text) => WriteAsync(Encoding.ASCII.GetBytes(text));

    public Task WriteAsync(byte[] bytes) => stream!.WriteAsync(bytes, limit.Token).AsTask();

    /// <summary>Reads what there is, at most <paramref name="most"/> bytes; 0 at the end.</summary>
    public async Task<int> ReadIntoAsync(MemoryStream target, int most)
    {
        byte[] block = new byte[most];
        int count = await stream!.ReadAsync(block, limit.Token);
        target.Write(block, 0, count);
        return count;
    }

    public Task ReadToEndIntoAsync(MemoryStream target) => stream!.CopyToAsync(target, limit.Token);

    /// <summary>Reads until a text has come, or the end.</summary>
    public async Task<string> ReadUntilAsync(string end)
    {
        using MemoryStream read = new();
        string text = "";
        while (!text.Contains(end, StringComparison.Ordinal) && await ReadIntoAsync(read, 1) > 0)
        {
            text = Encoding.ASCII.GetString(read.ToArray());
        }

        return text;
    }

    public async Task<string> ReadToEndAsync()
    {
        using MemoryStream read = new();
        await ReadToEndIntoAsync(read);
        return Encoding.ASCII.GetString(read.ToArray());
    }

    public ValueTask DisposeAsync()
    {
        client.Dispose();
        limit.Dispose();
        return ValueTask.CompletedTask;
    }
}
