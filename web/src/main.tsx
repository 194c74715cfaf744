import { createRoot } from "react-dom/client";
import "./ui/theme.css";
import "./ui/controls.css";
import "./grid/grid.css";
import { OverviewPage } from "./pages/OverviewPage.tsx";

createRoot(document.getElementById("root")!).render(<OverviewPage />);
