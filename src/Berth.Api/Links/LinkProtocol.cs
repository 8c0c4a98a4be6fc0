namespace Berth.Api.Links;

// The link between the control server and a node of another machine. The node dials; over the connection that it made
// the server asks and the node answers, in streams. Each attempt is one: there go the order, the program's input and
// what steers it, back come its output, its error and its report. Each connection to a program, or from one, is one
// more. All are rows of frames (see LinkFrame). docs/internals/node-link.md has the tables.

/// <summary>What both ends of a link must agree on.</summary>
public static class LinkProtocol
{
    /// <summary>The newest version this program speaks.</summary>
    public const int Version = 8;

    /// <summary>The oldest one.</summary>
    public const int OldestVersion = 1;

    /// <summary>The first one that knows of several servers.</summary>
    public const int ServersVersion = 2;

    /// <summary>The first one that knows of connections to programs, and so can have instances.</summary>
    public const int ConnectionsVersion = 3;

    /// <summary>The first one in which attempts have volumes, folders of the machine and of memory.</summary>
    public const int MountsVersion = 4;

    /// <summary>The first one in which nodes keep containers.</summary>
    public const int ContainersVersion = 5;

    /// <summary>The first one in which nodes fetch images before something needs them.</summary>
    public const int FetchVersion = 6;

    /// <summary>The first one in which a node tells what runs in a container, and that it leaves.</summary>
    public const int ProcessesVersion = 7;

    /// <summary>The first one in which a node may offer its layers to others, and asks who does.</summary>
    public const int NeighboursVersion = 8;

    /// <summary>By TLS's negotiation of protocols (RFC 7301): a connection over which the server asks and the node
    /// answers. With <c>h2</c> the node asks, as of any web server.</summary>
    public const string Negotiated = "berth-link";

    /// <summary>The same where the streams are Berth's own (see Multiplexer); preferred where both ends know it.
    /// </summary>
    public const string NegotiatedStreams = "berth-link-streams";

    /// <summary>What a node offers for its link, the best first.</summary>
    public static IReadOnlyList<string> Offers { get; } = [NegotiatedStreams, Negotiated];

    /// <summary>Greeting, heartbeats and hints; one for the life of a link.</summary>
    public const string ControlPath = "/control";

    /// <summary>One attempt.</summary>
    public const string AttemptPath = "/attempt";

    /// <summary>One connection to a program of an attempt, or from one.</summary>
    public const string ConnectionPath = "/connection";

    /// <summary>What becomes of a volume.</summary>
    public const string VolumePath = "/volume";

    /// <summary>A container's program, from its order on or after a link that broke.</summary>
    public const string ContainerPath = "/container";

    /// <summary>One program beside a container's.</summary>
    public const string ExecutionPath = "/execution";

    /// <summary>What a node keeps for the server that asks.</summary>
    public const string KeptPath = "/kept";

    /// <summary>Answered by the server: a node's first certificate for a token.</summary>
    public const string JoinPath = "/join";

    /// <summary>Answered by the server: a node's next certificate.</summary>
    public const string RenewPath = "/renew";

    /// <summary>Answered by the server: its authority's certificate, which the token's fingerprint proves.</summary>
    public const string AuthorityPath = "/authority";

    /// <summary>Answered by the server: content by digest.</summary>
    public const string BlobPath = "/blobs/";

    /// <summary>Answered by the server: which nodes offer the layers of an image, by its digest. Since version 8.
    /// </summary>
    public const string NeighboursPath = "/neighbours/";

    /// <summary>Answered by the server: whether a node has a certificate, by its name and the SHA-256 of it. Since
    /// version 8.</summary>
    public const string CertificatesPath = "/certificates/";

    /// <summary>Bytes of each of a program's streams that may be under way to who reads them. Bounds what either end
    /// keeps in memory for an attempt.</summary>
    public const int Window = 256 * 1024;

    /// <summary>Bytes of each direction of a connection that may be under way. There are more of these than of
    /// attempts.</summary>
    public const int ConnectionWindow = 128 * 1024;

    /// <summary>Bytes of one frame of a stream, so that a report never waits long behind one.</summary>
    public const int MaxData = 32 * 1024;

    /// <summary>An order has variables, arguments and secrets.</summary>
    public const int MaxOrder = 4 * 1024 * 1024;

    /// <summary>Any other frame.</summary>
    public const int MaxDocument = 256 * 1024;

    /// <summary>Attempts and connections of one node at once.</summary>
    public const int MaxStreams = 20_000;

    /// <summary>Connections of one node at once; the other streams are left to attempts.</summary>
    public const int MaxConnections = 10_000;

    /// <summary>Looks in a row at which nothing had come, until the other end is asked whether it is there.</summary>
    public const int QuietLooks = 2;

    /// <summary>The same, until it is gone.</summary>
    public const int MostQuietLooks = 8;

    /// <summary>How often an end looks whether something has come.</summary>
    public static TimeSpan LookInterval { get; } = TimeSpan.FromSeconds(1);

    /// <summary>Bytes of a container's output that a node keeps while it has no link to its server: a window, and as
    /// much again. Of what is written beyond, the oldest are dropped.</summary>
    public const int Backlog = 2 * Window;

    /// <summary>How long a node that leaves waits for the server to end the link.</summary>
    public static TimeSpan LeavingLimit { get; } = TimeSpan.FromSeconds(2);

    /// <summary>How long an end that was closed waits for the other to close.</summary>
    public static TimeSpan ClosingLimit { get; } = TimeSpan.FromSeconds(5);

    /// <summary>How often a node tells what an instance uses.</summary>
    public static TimeSpan FiguresPeriod { get; } = TimeSpan.FromSeconds(2);

    /// <summary>How often a node tells that it is there.</summary>
    public static TimeSpan HeartbeatPeriod { get; } = TimeSpan.FromSeconds(1);

    /// <summary>What the clocks of a server and its nodes may differ by: records, certificates and schedules are read
    /// against each other.</summary>
    public static TimeSpan MaxClockSkew { get; } = TimeSpan.FromMinutes(5);
}
