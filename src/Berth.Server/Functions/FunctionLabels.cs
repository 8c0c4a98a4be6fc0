namespace Berth.Server.Functions;

/// <summary>Labels of the runs of functions.</summary>
internal static class FunctionLabels
{
    public const string Function = "function";
    public const string Revision = "revision";
}
