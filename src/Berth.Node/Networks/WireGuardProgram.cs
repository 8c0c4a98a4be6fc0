using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Berth.Node.Linux;

namespace Berth.Node.Networks;

/// <summary>
/// wireguard-go, for a kernel without WireGuard: a process of the machine's that encrypts what it reads from a device,
/// and is told what to do by a socket (the cross-platform interface of wireguard.com/xplatform). It ends with this
/// process, whatever ends that.
/// </summary>
internal sealed class WireGuardProgram : IWireGuard
{
    private const string Name = "wireguard-go";
    private const string Tunnels = "/dev/net/tun";
    private const string Folder = "/var/run/wireguard";
    private const string Shell = "/bin/sh";

    /// <summary>Ends it by a signal it knows, so that its socket goes too: at the latest when nobody holds the other
    /// end of standard input any more.</summary>
    private const string Watch =
        """
        exec 3<&0
        "$1" -f "$2" 3<&- </dev/null &
        child=$!
        { read -r word <&3; kill "$child"; } &
        watch=$!
        wait "$child"
        code=$?
        kill "$watch"
        exit "$code"
        """;

    private static readonly TimeSpan BeginPatience = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan EndPatience = TimeSpan.FromSeconds(5);
    private const int AnswerPatience = 5000;

    private readonly PidHandle process;
    private readonly FileDescriptor hold;
    private readonly UnixDomainSocketEndPoint door;
    private readonly TimeProvider time;

    private WireGuardProgram(PidHandle process, FileDescriptor hold, string device, TimeProvider time)
    {
        this.process = process;
        this.hold = hold;
        this.time = time;
        door = new UnixDomainSocketEndPoint(SocketOf(device));
    }

    /// <summary>Where it is on PATH; null where it is not, or could have no device.</summary>
    public static string? Find() => !File.Exists(Tunnels)
        ? null
        : (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Where(Path.IsPathRooted)
            .Select(folder => Path.Combine(folder, Name)).FirstOrDefault(File.Exists);

    /// <summary>The device is made here, and then belongs to another namespace; what is encrypted stays here.</summary>
    public static async Task<WireGuardProgram> StartAsync(
        string program, string device, FileDescriptor space, int mtu, ReadinessPoller poller, TimeProvider time,
        CancellationToken cancellationToken)
    {
        using Pipe pipe = Pipe.Create();
        PidHandle process = Spawner.Start(
            new SpawnSpec(
                Shell, ["-c", Watch, Shell, program, device], ["LOG_LEVEL=silent", "PATH=/usr/bin:/bin"],
                Descriptors: [pipe.ReadEnd, null, null]),
            poller);
        WireGuardProgram made = new(process, pipe.WriteEnd.Duplicate(), device, time);
        try
        {
            using RouteSocket machine = RouteSocket.Open();
            int index = await made.BegunAsync(machine, program, device, cancellationToken);
            machine.SetMtu(index, mtu);
            machine.Move(index, space);
            return made;
        }
        catch
        {
            await made.DisposeAsync();
            throw;
        }
    }

    public void SetKey(byte[] privateKey, int port) => Tell(string.Create(
        CultureInfo.InvariantCulture,
        $"private_key={Convert.ToHexStringLower(privateKey)}\nlisten_port={port}\nreplace_peers=true\n"));

    public void SetPeer(byte[] publicKey, IPEndPoint endpoint, IPAddress address) => Tell(
        $"public_key={Convert.ToHexStringLower(publicKey)}\nendpoint={endpoint}\nreplace_allowed_ips=true\n"
        + $"allowed_ip={address}/32\n");

    public void Remove(byte[] publicKey) => Tell(
        $"public_key={Convert.ToHexStringLower(publicKey)}\nremove=true\n");

    public async ValueTask DisposeAsync()
    {
        hold.Dispose();
        try
        {
            await process.Exited.WaitAsync(EndPatience, time, CancellationToken.None);
        }
        catch (TimeoutException)
        {
            process.Signal(PidHandle.SigKill);
        }

        process.Dispose();
    }

    private static string SocketOf(string device) => $"{Folder}/{device}.sock";

    /// <summary>Index of its device, once it is there and takes orders.</summary>
    private async Task<int> BegunAsync(
        RouteSocket machine, string program, string device, CancellationToken cancellationToken)
    {
        long begun = time.GetTimestamp();
        while (!process.Exited.IsCompleted && time.GetElapsedTime(begun) < BeginPatience)
        {
            if (machine.Devices().FirstOrDefault(d => d.Name == device) is { } found && Answers())
            {
                return found.Index;
            }

            await Task.Delay(Look, time, cancellationToken);
        }

        throw new LinuxException(
            "wireguard", $"{program} made no device: 'LOG_LEVEL=debug {program} -f {device}' says why", Errno.NoDevice);
    }

    private bool Answers()
    {
        try
        {
            Tell("");
            return true;
        }
        catch (LinuxException)
        {
            return false;
        }
    }

    private void Tell(string lines)
    {
        try
        {
            using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
            {
                ReceiveTimeout = AnswerPatience,
                SendTimeout = AnswerPatience,
            };
            socket.Connect(door);
            socket.Send(Encoding.ASCII.GetBytes($"set=1\n{lines}\n"));
            if (ReadError(socket) is not 0 and { } error)
            {
                throw new LinuxException(Name, "its device", error);
            }
        }
        catch (SocketException silent)
        {
            throw new LinuxException(Name, $"it does not answer ({silent.SocketErrorCode})", Errno.ConnectionReset);
        }
    }

    /// <summary>Of the answer, <c>errno=N</c> and an empty line.</summary>
    private static int ReadError(Socket socket)
    {
        byte[] answer = new byte[256];
        int length = 0;
        int read;
        while (length < answer.Length && !answer.AsSpan(0, length).EndsWith("\n\n"u8)
            && (read = socket.Receive(answer, length, answer.Length - length, SocketFlags.None)) > 0)
        {
            length += read;
        }

        string text = Encoding.ASCII.GetString(answer, 0, length).Trim();
        return text.StartsWith("errno=", StringComparison.Ordinal)
            && int.TryParse(text[6..], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int number)
            ? Math.Abs(number)
            : Errno.InputOutput;
    }
}
