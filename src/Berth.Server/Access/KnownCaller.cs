namespace Berth.Server.Access;

/// <summary>
/// Whose token a connection of HTTP/1.1 sent last. Kestrel gives a header that is the same as in the request before as
/// the same string: then its secret need not be hashed again. Nothing is kept that Kestrel does not keep.
/// </summary>
internal sealed class KnownCaller
{
    private string? header;
    private Caller? caller;

    /// <summary>Null where it is another string.</summary>
    public Caller? Of(string sent) => ReferenceEquals(sent, header) ? caller : null;

    public void Learn(string? sent, Caller? owner) => (header, caller) = (sent, owner);
}
