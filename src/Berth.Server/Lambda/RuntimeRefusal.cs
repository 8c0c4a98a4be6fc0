namespace Berth.Server.Lambda;

/// <summary>A request to the Runtime API that is refused, in AWS's words where it has some.</summary>
/// <param name="status">Of HTTP.</param>
/// <param name="type">What runtimes decide by.</param>
internal sealed class RuntimeRefusal(int status, string type, string message) : Exception(message)
{
    public int Status => status;

    public string Type => type;
}
